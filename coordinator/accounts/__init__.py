"""Who there is: users, teams, their tokens and tickets, and who comes from outside."""

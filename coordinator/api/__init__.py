"""In from people, games and nodes: REST and the WebSocket. Reaches the database only through commands and queries."""

"""What a job may say of its training, checked at its submission."""

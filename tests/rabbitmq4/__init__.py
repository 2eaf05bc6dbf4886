"""What can only be seen on RabbitMQ 4: `make rabbitmq4` runs it, `make test` does not."""

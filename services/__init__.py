"""The backing services a development machine or a test run starts for itself: PostgreSQL, RabbitMQ and S3.

Standard library only, so that it can be imported before anything else works; `stack.Stack` is the door.
"""

"""The data in S3 and DynamoDB: one module for each kind."""

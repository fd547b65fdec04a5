"""What is kept in S3 and DynamoDB: one module for each thing."""

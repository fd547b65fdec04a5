"""The admin function: models, trainings, data, corrections and monitoring."""

"""The function for whoever looks after the service: models, trainings, data, corrections."""

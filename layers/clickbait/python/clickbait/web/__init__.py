"""What every HTTP function shares: the app, reading requests, and who may call what."""

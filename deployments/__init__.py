"""What runs facehog in a lab: configuration, command line, sensor and the services that `facehog up` starts."""

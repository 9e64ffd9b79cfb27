"""AWS Lambda on this machine: functions in separate processes, and the services that invoke them."""

"""AWS Lambda on one machine: functions in processes of their own, and what calls them."""

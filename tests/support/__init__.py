"""What tests share: the parts that they start, and the messages that they send."""

"""Access to Momento: the only place that imports gRPC or Momento's wire types."""

"""The release workflow: applications, environments, orders and where they are deployed. It knows no data plane."""

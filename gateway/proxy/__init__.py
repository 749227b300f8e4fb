"""The data plane: sockets, connections and exchanges."""

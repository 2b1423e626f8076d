"""The shells around the hub and its client: sockets, tasks, clocks. websockets lives here only."""

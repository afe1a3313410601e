"""What the verbs know, a room for each; what every room stands on lies beside the rooms."""

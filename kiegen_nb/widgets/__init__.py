"""What people see in a notebook: forms, the gallery, the studio. Never the wire."""

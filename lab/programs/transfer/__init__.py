"""lab-transfer: store files on another host, and fetch them."""

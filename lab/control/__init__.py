"""The running lab: hosts, programs, faults, the link as a scenario drives it, and evidence collected."""

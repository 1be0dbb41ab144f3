"""The wire to Asterisk: FastAGI, AMI, call session, call control."""

"""The whole system as a user starts it: real Asterisk, real SIP with sound, real browser."""

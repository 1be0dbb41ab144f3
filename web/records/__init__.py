"""Call records as the telephone side pushed them."""

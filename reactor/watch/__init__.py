"""What people and machines see: fed by the audit stream alone, never by live state; it reads and never steers."""

"""What people do with rules: lint, test, format, edit, compare, import and export."""

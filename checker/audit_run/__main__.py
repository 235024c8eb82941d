"""`python -m checker.audit_run`."""

import sys

from checker.audit_run.program import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m kdbench`."""

from kdbench.cli.verbs import main

if __name__ == "__main__":  # engines start processes that import this file again
    main()

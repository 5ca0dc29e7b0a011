"""`python -m ganforge` and `accelerate launch -m ganforge`."""

from ganforge.cli.main import main

if __name__ == "__main__":
    main()

"""``python -m skcgcnn`` is the command ``skcgcnn``."""

from skcgcnn.cli import main

if __name__ == "__main__":
    main()

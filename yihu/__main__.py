"""``python -m yihu``: the command line."""

from yihu.cli import main

main()

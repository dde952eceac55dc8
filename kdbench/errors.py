"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad input, told in one line that names the file, line or key and the way out.

    The command line prints it on stderr and exits with 2; nothing has been half-written.
    """

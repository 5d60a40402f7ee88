"""The one error a user may cause: it says what is wrong, where, and what to do, in one line."""


class UserError(Exception):
    """A mistake in what was given (a file, an option, a city folder), not a bug.

    The command line prints the message as one line and exits with status 2; a page shows it as a notice.
    """

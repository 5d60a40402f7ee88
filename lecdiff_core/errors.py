"""The one error a user may cause: it says what is wrong, where, and what to do, in one line; and how a command ends."""

USERS_MISTAKE = 2  # exit status
NOTHING_MADE = 3  # of what was asked, as where every answer of a server failed
INTERRUPTED = 130


class UserError(Exception):
    """A mistake in what was given (a file, an option, a city folder), not a bug.

    The command line prints the message as one line and exits with its status, 2; a page shows it as a notice.

    Examples:
        >>> from lecdiff_core import City, UserError
        >>> try:
        ...     City.open("nowhere")
        ... except UserError as mistake:
        ...     print(mistake)
        nowhere is not a folder; make a city with `lecdiff demo` or `lecdiff import`
    """

    status = USERS_MISTAKE


class NothingMadeError(UserError):
    """What was asked was right, and nothing of it could be made: status 3."""

    status = NOTHING_MADE

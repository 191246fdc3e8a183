"""``settings``: show or change how builds are served, as far as the commands have to know."""

from __future__ import annotations

from typing import Final

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.options import serving_options
from version_affinity.cli.output import emit, say, say_rows, styled
from version_affinity.releases.store.settings import DEFAULT_SERVING, Serving
from version_affinity.wire import printable

_TITLES: Final = {
    "prefix": "Prefix",
    "app_first": "Application first",
    "not_found_handling": "Unknown pages",
    "origins": "Origins",
}


@command()
@serving_options()
def settings(serving: Serving, as_json: bool) -> None:
    """Show or change how builds are served.

      version-affinity settings
      version-affinity settings --spa --prefix /shop/
      version-affinity settings --app-first '/api/*' --app-first /login
      version-affinity settings --app-first none --no-spa

    The settings are stored in affinity.json. "check", "versions deploy", "rollback", "serve" and "explain" use them.
    A setting that you leave out keeps its value; --app-first and --origin replace all earlier ones.

    With --json, "before" has the earlier settings if the command has changed them.

    The settings describe the application, and do not change it: it has its own options (prefix=, app_first=,
    not_found_handling=), and logs a warning if they differ. An option of a command comes first, then the application
    (with "flask affinity"), then these settings.
    """
    target = current_target()
    directory = target.directory
    before = None if directory.serving_error else directory.serving
    if serving != Serving():
        directory.change_serving(serving)
    saved = target.saved_serving()
    _ = target.application_serving  # which warns if it differs now
    before, effective = before or saved, saved.otherwise(DEFAULT_SERVING)
    if as_json:
        emit(
            {
                "name": directory.name,
                "releases": str(directory.path),
                **effective.as_dict(),
                "retention": directory.retention.as_dict(),
                **({} if before == saved else {"before": before.otherwise(DEFAULT_SERVING).as_dict()}),
            }
        )
        return
    say(f"Settings of {styled(directory.name, 'strong')}, in {directory.path}\n")
    rows = []
    for field, title in _TITLES.items():
        note = "default" if getattr(saved, field) is None else ""
        if getattr(before, field) != getattr(saved, field):
            note = f"before: {_text(getattr(before.otherwise(DEFAULT_SERVING), field))}"
        rows.append([title, styled(_text(getattr(effective, field)), "strong"), styled(note, "faint") if note else ""])
    rows.append(["Retention", styled(directory.retention.in_words(), "strong"), command_line("retention")])
    say_rows(rows)


def _text(value: str | tuple[str, ...]) -> str:
    return printable(value if isinstance(value, str) else ", ".join(value) or "none")

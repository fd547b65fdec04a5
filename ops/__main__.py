"""Operate the service, on AWS or on this machine."""

import sys
from datetime import UTC, datetime
from typing import Any

import click

from ops import errors_in_one_line


@click.group(help=__doc__)
def main() -> None:
    """The operator's commands."""


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("sam_options", metavar="[SAM DEPLOY OPTION]...", nargs=-1, type=click.UNPROCESSED)
def deploy(sam_options: tuple[str, ...]) -> None:
    """Deploy the service to AWS. All options go to `sam deploy`.

    It builds the page, runs `sam build` and `sam deploy`, uploads the page, deletes old function
    versions, asks the service whether it works and, if its sources changed, has the training image
    built on AWS. Stack, region and profile are those of sam's options and configuration.

    \b
    make deploy ARGS="--guided"                              choose each parameter
    make deploy ARGS="--parameter-overrides Access=public"   set one parameter
    make deploy ARGS="--stack-name staging --profile work"   another stack or account
    make deploy ARGS="--config-env staging"                  another section of samconfig.toml
    """
    with errors_in_one_line("deploy"):
        from ops.deploy import deploy

        deploy(sam_options)


@main.command()
@click.option("--url", envvar="API_URL", default="", help="API to call [default: the local stack].")
@click.option("--token", envvar="ADMIN_TOKEN", default="", help="Admin token of that API.")
@click.option("--method", help="small_update or fine_tuning [default: by the images].")
@click.option("--own-weight", help="stay_close, balanced or follow_labels, for a small update.")
@click.option("--architecture", help="efficientnet_lite0 or cnn.")
@click.option("--epochs", type=int, help="Maximum number of epochs.")
@click.option("--batch-size", type=int, help="Images per training step.")
@click.option("--learning-rate", type=float, help="Initial learning rate.")
@click.option("--validation-split", type=float, help="Share of the images used for validation.")
@click.option("--from-scratch", is_flag=True, help="Do not start from the live model's weights.")
@click.option(
    "--skip-label-check", is_flag=True, help="Train even if the live model disagrees with labels."
)
def retrain(url: str, token: str, **parameters: Any) -> None:
    """Start a training run and follow it until it ends.

    The exit status is 0 if the new model was promoted or rejected, and 1 if the run
    failed or was cancelled.
    """
    from ops.retrain import Service, retrain

    with errors_in_one_line("retrain"):
        service = Service.named(url, token)
        given = {n: v for n, v in parameters.items() if v is not None and v is not False}
        try:
            if not retrain(service, given, click.echo):
                sys.exit(1)
        except KeyboardInterrupt:
            click.echo(f"Stopped following. The run continues: see {service.url}/runs")
            sys.exit(130)  # The exit status that shells report for Ctrl-C.


@main.command()
@click.option("--queue", help="URL of the queue [default: UploadsQueue of the local stack].")
@click.option("--dead-letters", help="URL of its dead-letter queue [default: UploadsDeadLetters].")
def replay(queue: str | None, dead_letters: str | None) -> None:
    """Move all dead letters back to their queue.

    Works on the local stack or, if both URLs are given, on AWS.
    """
    from ops.replay import connect, replay

    with errors_in_one_line("replay"):
        sqs, source, target = connect(queue, dead_letters)
        click.echo(f"{replay(sqs, source, target)} messages moved to {target}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("sam_options", metavar="[SAM DEPLOY OPTION]...", nargs=-1, type=click.UNPROCESSED)
def recover(sam_options: tuple[str, ...]) -> None:
    """Make a deleted stack again over the buckets and the table that it left.

    Give the options of `make deploy`, and run `make deploy` afterwards: it adds everything else.
    """
    with errors_in_one_line("recover"):
        from ops.deploy import ROOT, session_of
        from ops.recover import recover
        from ops.target import read

        where = read(ROOT, sam_options)
        for name in recover(session_of(where), where):
            click.echo(f"Imported {name}")
        click.echo("Now run make deploy with the same options.")


@main.command()
@click.argument("bucket")
@click.argument("since", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
def restore(bucket: str, since: datetime) -> None:
    """Bring back the labelled images that were deleted from BUCKET since SINCE.

    For example after a wrong `aws s3 sync --delete`, within a week. SINCE is a time in UTC, such as
    2026-11-26T10:00. Works on AWS, with the credentials and the region of your shell.
    """
    with errors_in_one_line("restore"):
        import boto3

        from ops.recover import restore

        count = 0
        for key in restore(boto3.client("s3"), bucket, since.replace(tzinfo=UTC)):
            click.echo(key)
            count += 1
        click.echo(f"{count} images are back.")


if __name__ == "__main__":
    main(prog_name="python -m ops")

"""Messages to the owner: a training run has ended, or a batch is done.

They go to an SNS topic, which mails them if the stack has a NotifyEmail. A message is sent once at
most: one that is lost spoils nothing, because the page shows the same.
"""

from clickbait import aws
from clickbait.observability import logger
from clickbait.settings import settings

SUBJECT_CHARACTERS = 99
"""SNS refuses longer subjects, line breaks, and characters that are not ASCII."""


def notify(subject: str, text: str) -> None:
    """Send a message, if NOTIFY_TOPIC is set. If that fails, only the log says so."""
    topic = settings().notify_topic
    if not topic:
        return
    plain = " ".join(subject.encode("ascii", "replace").decode().split())[:SUBJECT_CHARACTERS]
    try:
        aws.client("sns").publish(TopicArn=topic, Subject=plain, Message=text)
    except aws.faults() as error:
        logger.error("message not sent", subject=subject, reason=str(error))

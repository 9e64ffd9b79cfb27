"""The facts of a stack that does not run, for tests of what reads them."""

from local.aws.services import User
from local.stack.facts import MomentoFacts, StackFacts

FACTS = StackFacts(
    momento=MomentoFacts("127.0.0.1", 8080, "http://127.0.0.1:8081", "http://127.0.0.1:9090", "key"),
    token_url="http://127.0.0.1:3000/token",
    webhook_url="http://127.0.0.1:3002/",
    lambda_url="http://127.0.0.1:3001",
    aws_endpoint_url="http://127.0.0.1:4566",
    web_url=None,
    cache="course-comments",
    topic="comment",
    topics=["comment"],
    user_pool_id="us-east-1_1",
    user_pool_client_id="client",
    users=(User("taylor", "password"),),
    signing_secret="secret",
    message_source="relay",
    spill_queue_url="http://127.0.0.1:4566/123456789012/SpillQueue",
    dead_letter_queue_url="http://127.0.0.1:4566/123456789012/DeadLetterQueue",
)

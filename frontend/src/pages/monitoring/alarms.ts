/** The alarms of template.yaml: what each means, and what to do about it at three in the morning. */

export interface Alarm {
  /** Its logical id in template.yaml; the name in CloudWatch contains it. */
  resource: string;
  title: string;
  means: string;
  /**
   * Steps, in order; `code` and [links](/of-this-site) are marked as in Markdown. STACK stands for
   * the stack's name.
   */
  do: readonly string[];
}

const errorsOf = (name: string) =>
  `\`aws logs tail /aws/lambda/STACK-${name} --since 1h --filter-pattern '{ $.level = "ERROR" }'\``;

const crashesOf = (name: string) =>
  `\`aws logs tail /aws/lambda/STACK-${name} --since 1h | grep -iE 'timed out|runtime exited|errortype'\``;

const DEPLOY_FORMER =
  "If it began with a deployment, go back to the commit before: `git checkout COMMIT && make deploy`.";

const OUTPUTS =
  "`aws cloudformation describe-stacks --stack-name STACK --query 'Stacks[0].Outputs'`";

export const ALARMS: readonly Alarm[] = [
  {
    resource: "ApiServerErrorsAlarm",
    title: "API errors (5xx)",
    means:
      "At least three requests in five minutes got a 5xx, from a function or from API Gateway, which gives up after 30 s. Requests failed through no fault of the callers.",
    do: [
      "Run the system check on [this page](/monitoring). If the model fails, continue with ModelLoadFailureAlarm.",
      "Find the route: `aws logs tail /aws/vendedlogs/apis/STACK --since 15m --filter-pattern '{ $.status = \"5*\" }'`.",
      `Find the request_id of that line in the log of the route’s function. For /predict: ${errorsOf("predict")}. For other routes use batch or admin.`,
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "PredictErrorsAlarm",
    title: "Predict crashed",
    means:
      "The predict function ended without an answer: it crashed, took more than 20 s or could not start. During a deployment this alarm moves all traffic back to the old version.",
    do: [
      `See how it ended: ${crashesOf("predict")}.`,
      "“Runtime exited” with a signal means out of memory: compare memory and limit under Functions on [this page](/monitoring?window=1h).",
      "After a deployment, check that it was rolled back: `aws deploy list-deployments --include-only-statuses Stopped Failed InProgress`. If not, go back to the commit before: `git checkout COMMIT && make deploy`.",
    ],
  },
  {
    resource: "PredictFaultsAlarm",
    title: "Predict errors (5xx)",
    means:
      "The predict function returned a 5xx at least three times in a minute: 500 is a bug, 503 means that it has no model.",
    do: [
      "Run the system check on [this page](/monitoring). If the model fails, continue with ModelLoadFailureAlarm.",
      `Read the traceback: ${errorsOf("predict")}.`,
      "If it began with a promotion, roll back to the previous version on [Models](/models).",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "PredictThrottlesAlarm",
    title: "Predictions throttled",
    means:
      "Lambda reached the account’s limit of concurrent executions and turned requests away. A new account has ten in all; a large batch takes up to five of them.",
    do: [
      "Check on [this page](/monitoring?window=1h) whether traffic is unusually high, or a batch is running. When the batch ends, predictions recover.",
      "If batches take too much, lower WorkerConcurrency in samconfig.toml and `make deploy`.",
      "If the traffic is real, request a higher limit: `aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 100`.",
    ],
  },
  {
    resource: "PredictDurationAlarm",
    title: "Slow predictions",
    means:
      "In three of five minutes, one request in twenty took more than a second. A usual answer takes about ten milliseconds. Nothing has failed yet.",
    do: [
      "Compare latency and cold starts on [this page](/monitoring?window=1h). If slow minutes have cold starts, traffic rose quickly and it will pass; SnapStart makes cold starts shorter.",
      `Without cold starts, look for errors: ${errorsOf("predict")}. X-Ray traces show the time of S3, DynamoDB and the model apart.`,
      "If it began with a promotion, roll back to the previous version on [Models](/models).",
    ],
  },
  {
    resource: "ModelLoadFailureAlarm",
    title: "Model failed to load",
    means:
      "The new live version could not be loaded, or failed its golden images. Running processes keep the previous version; new ones use the built-in model.",
    do: [
      "Check version and uptime on [this page](/monitoring), and run the system check: it names what fails.",
      `Find the line “model not loaded”: ${errorsOf("predict")}.`,
      "Roll back to the last good version on [Models](/models). All processes follow within half a minute.",
    ],
  },
  {
    resource: "AdminFaultsAlarm",
    title: "Admin errors (5xx)",
    means:
      "Models, data, corrections and metrics (most of this site) failed at least once in five minutes. Predictions are not affected.",
    do: [
      `Read the traceback: ${errorsOf("admin")}.`,
      "Open [Data](/data) and [Models](/models). If they load, it has passed and can wait for the morning.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "RetrainErrorsAlarm",
    title: "Retrain crashed",
    means:
      "The function that checks uploads and starts trainings crashed, timed out or could not start. Nothing is lost: messages are delivered up to five times, then kept for two weeks.",
    do: [
      `Find the line “event failed” or “upload failed”: ${errorsOf("retrain")}.`,
      `If there is none, Lambda ended it: ${crashesOf("retrain")}.`,
      "If DeadLettersAlarm fires as well, follow its steps once this is fixed.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "RunsFailedAlarm",
    title: "Training failed",
    means:
      "A training ended as FAILED. (REJECTED is a result, not a failure, and raises no alarm.) The live model has not changed.",
    do: [
      "Open the run on [Models](/models?show=training): it shows the reason and the end of the log.",
      "For “no training image yet” run `make deploy`. For “killed” raise TrainingMemory in samconfig.toml.",
      "Read the whole log: `aws logs tail /aws/batch/STACK --since 6h`.",
      "Start a new training on [Models](/models?show=training). It can wait for the morning.",
    ],
  },
  {
    resource: "LearnErrorsAlarm",
    title: "Small update crashed",
    means:
      "The function that makes small updates crashed, took more than 180 s or could not start. Nothing is lost: the update is tried again, three times in all, and the live model has not changed.",
    do: [
      `See how it ended: ${crashesOf("learn")}.`,
      "Open the run on [Models](/models?show=training). If it is still going, wait: the next attempt starts within 15 minutes.",
      "If it timed out, start a training with the method “Fine-tuning” instead.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "UpdatesFailedAlarm",
    title: "Small update failed",
    means:
      "A small update ended as FAILED. (REJECTED is a result, not a failure, and raises no alarm.) The live model has not changed.",
    do: [
      "Open the run on [Models](/models?show=training): it shows the reason.",
      `Find the cause: ${errorsOf("learn")}.`,
      "Start a new training on [Models](/models?show=training). It can wait for the morning.",
    ],
  },
  {
    resource: "LearnDeadLettersAlarm",
    title: "Small update not processed",
    means:
      "The message of a small update failed three times. Its run ends by itself as FAILED, and the live model has not changed.",
    do: [
      `Find the cause: ${errorsOf("learn")}. If Lambda ended it: ${crashesOf("learn")}.`,
      "Delete the message, because its run has ended: `aws sqs purge-queue --queue-url URL`, with LearnDeadLetters among the outputs.",
      "Start a new training on [Models](/models?show=training).",
    ],
  },
  {
    resource: "DeadLettersAlarm",
    title: "Uploads not processed",
    means:
      "Messages about images in train/ failed five times and were set aside for two weeks. The images are in the bucket, but training does not know about them.",
    do: [
      `Find the line “upload failed” or “invalid message”: ${errorsOf("retrain")}.`,
      `Once the cause is fixed, move the messages back: \`make replay ARGS="--queue URL --dead-letters URL"\`, with UploadsQueue and UploadsDeadLetters from ${OUTPUTS}.`,
      "Check that they appear as waiting on [Data](/data).",
    ],
  },
  {
    resource: "BatchFaultsAlarm",
    title: "Batch errors (5xx)",
    means:
      "Ten images at once, uploads, or batches and their results failed at least once in five minutes. Single predictions are not affected.",
    do: [
      `Read the traceback: ${errorsOf("batch")}.`,
      "Open [Batch](/batch) and send a file. If that works, it has passed.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "ModelLoadFailureOfManyAlarm",
    title: "Batch model failed to load",
    means:
      "The batch function or an inbox worker could not load the new live version. Running processes keep the previous one, so one batch may have results of two versions.",
    do: [
      `Find the line “model not loaded”: ${errorsOf("worker")}, and the same for batch.`,
      "Roll back to the last good version on [Models](/models).",
      "The results on [Batch](/batch) show the version of each row. Run the files of the wrong version again.",
    ],
  },
  {
    resource: "HistoryWriteFailureAlarm",
    title: "History not written",
    means:
      "In ten of fifteen minutes, predictions were returned but not written to the table. No answer is lost; recent predictions and drift are incomplete.",
    do: [
      `Find the line “prediction not logged”: ${errorsOf("predict")}.`,
      "“Throttled” is a burst, which passes. “Access denied” means that the role or the table was changed by hand: run `make deploy`.",
      "Check that new predictions appear on the [Overview](/).",
    ],
  },
  {
    resource: "InboxDeadLettersAlarm",
    title: "Batch images not processed",
    means:
      "Messages about images in inbox/ failed five times and were set aside. Their batch stays unfinished; the images are deleted a week after they arrived.",
    do: [
      `Find the line “batch failed” or “image given up”: ${errorsOf("worker")}.`,
      `Once the cause is fixed, move the messages back: \`make replay ARGS="--queue URL --dead-letters URL"\`, with InboxQueue and InboxDeadLetters from ${OUTPUTS}.`,
      "Check that the batch finishes on [Batch](/batch).",
    ],
  },
  {
    resource: "OtherErrorsAlarm",
    title: "Admin, batch or worker crashed",
    means:
      "The admin function, the batch function or an inbox worker crashed, ran out of time or could not start. Images in the inbox are tried up to five times, so none is lost.",
    do: [
      `See which one it was, and how it ended: ${crashesOf("admin")}, and the same for batch and worker.`,
      "“Runtime exited” with a signal means out of memory: compare memory and limit under Functions on [this page](/monitoring?window=1h).",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "OldMessagesAlarm",
    title: "Messages wait",
    means:
      "A message has waited in a queue for an hour. Either a folder of many thousand images is still being classified, or a function no longer receives its messages. Nothing is lost: messages are kept for four days.",
    do: [
      "Open [Batch](/batch) or [Data](/data): if their figures move, wait.",
      `Find the queue: \`aws sqs get-queue-attributes --attribute-names All --queue-url URL\`, with InboxQueue, UploadsQueue and LearnQueue from ${OUTPUTS}.`,
      "If the function is throttled, raise the account’s limit: `aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 100`.",
      "If its trigger is disabled, `aws lambda list-event-source-mappings` shows it: enable it, or run `make deploy`.",
    ],
  },
  {
    resource: "RunsWaitingAlarm",
    title: "Training waits for a machine",
    means:
      "A training has waited for half an hour for a machine of AWS Batch. After two hours it ends by itself as FAILED. Until then no other training can start; the live model stays.",
    do: [
      "Open the run on [Models](/models?show=training). To train now, cancel it and start a small update.",
      "Compare the account’s quotas of Fargate vCPUs with TrainingVcpus: `aws service-quotas list-service-quotas --service-code fargate`.",
      "If the quota suffices, AWS has no capacity at the moment: start it again later, or in another region.",
    ],
  },
  {
    resource: "DriftAlarm",
    title: "Image drift",
    means:
      "Each day’s images are compared with those that the live model was trained on. One feature has a drift index of 0.25 or more, so the images differ clearly and accuracy may be lower than measured.",
    do: [
      "Go back to sleep: nothing is broken.",
      "See under Drift on [this page](/monitoring) which feature it is, and look at some images: is there a new source, or a new size?",
      "Label about two hundred of the new images, upload them on [Models](/models?show=training) and train. The quality checks decide whether the new model is better.",
    ],
  },
];

/** What each alarm of template.yaml means, and what to do about it at three in the morning. */

export interface Alarm {
  /** Its logical id in template.yaml: the name that CloudWatch sends has it in the middle. */
  resource: string;
  title: string;
  means: string;
  /** Steps, in order; `code` and [links](/of-this-site) are marked as in Markdown. */
  do: readonly string[];
}

const errorsOf = (name: string) =>
  `\`aws logs tail /aws/lambda/clickbait-${name} --since 1h --filter-pattern '{ $.level = "ERROR" }'\``;

const printedBy = (name: string) =>
  `\`aws logs tail /aws/lambda/clickbait-${name} --since 1h | grep -iE 'timed out|runtime exited|errortype'\``;

const DEPLOY_FORMER =
  "If it began with a deployment, deploy the commit before it: `git checkout COMMIT && make deploy`.";

const OUTPUTS =
  "`aws cloudformation describe-stacks --stack-name clickbait --query 'Stacks[0].Outputs'`";

export const ALARMS: readonly Alarm[] = [
  {
    resource: "ApiServerErrorsAlarm",
    title: "The API answers 5xx",
    means:
      "Three requests or more in five minutes got a 5xx, from one of the functions or from API Gateway itself, which gives up after 30 s. Somebody’s request failed and it was not their fault.",
    do: [
      "Run the system check on [this page](/monitoring): where the model fails, go on with ModelLoadFailureAlarm.",
      "See which route it is: `aws logs tail /aws/vendedlogs/apis/clickbait --since 15m --filter-pattern '{ $.status = \"5*\" }'`.",
      `Read why in the log of the function behind it, by the request_id of that line. For /predict: ${errorsOf("predict")}; elsewhere it is batch or admin.`,
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "PredictErrorsAlarm",
    title: "Predict crashed or timed out",
    means:
      "An invocation of the predict function ended without an answer: it crashed, took more than 20 s or could not start. While a new version is taking over, this alarm moves all traffic back to the old one by itself.",
    do: [
      `See how it ended: ${printedBy("predict")}.`,
      "“Runtime exited” with a signal is memory: compare memory and limit under Functions on [this page](/monitoring?window=1h).",
      "After a deployment, see that it was rolled back: `aws deploy list-deployments --include-only-statuses Stopped Failed InProgress`. If not, deploy the commit before it: `git checkout COMMIT && make deploy`.",
    ],
  },
  {
    resource: "PredictFaultsAlarm",
    title: "Predict answers 5xx",
    means:
      "The predict function answered three requests or more in a minute with a 5xx: 500 is a fault in the code, 503 means that there is no model to answer with.",
    do: [
      "Run the system check on [this page](/monitoring): where the model fails, go on with ModelLoadFailureAlarm.",
      `Read the fault with its traceback: ${errorsOf("predict")}.`,
      "If it began with a promotion, roll back to the version before on [Models](/models).",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "PredictThrottlesAlarm",
    title: "Predictions were turned away",
    means:
      "Lambda ran as many executions at once as the account may have, and turned requests away. A new account has ten for everything, of which a large batch takes up to five.",
    do: [
      "See whether requests are unusually many on [this page](/monitoring?window=1h), and whether a batch is running: it ends by itself, and predictions recover.",
      "Where batches take too much, lower WorkerConcurrency in samconfig.toml and `make deploy`.",
      "Where the traffic is real, ask for more: `aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 100`.",
    ],
  },
  {
    resource: "PredictDurationAlarm",
    title: "Predictions are slow",
    means:
      "One request in twenty took more than a second, in three minutes of five. Usually an answer takes some ten milliseconds; nothing has failed yet.",
    do: [
      "Look at latency and cold starts on [this page](/monitoring?window=1h). Cold starts beside the slow minutes: traffic rose quickly, and it passes; SnapStart makes them shorter.",
      `Without cold starts, see what else happens: ${errorsOf("predict")}; the traces in X-Ray tell S3 and DynamoDB from the model.`,
      "If it began with a promotion, roll back to the version before on [Models](/models).",
    ],
  },
  {
    resource: "ModelLoadFailureAlarm",
    title: "Predict could not load a model",
    means:
      "The version that is to be live could not be loaded, or failed its golden images. Processes that run go on with the version before; new ones answer with the model that ships.",
    do: [
      "See the version and uptime on [this page](/monitoring), and run the system check: it names what fails.",
      `Read the reason, the line “model not loaded”: ${errorsOf("predict")}.`,
      "Roll back to the last version that served well on [Models](/models): every process follows within half a minute.",
    ],
  },
  {
    resource: "AdminFaultsAlarm",
    title: "The admin function answers 5xx",
    means:
      "Models, data, corrections and metrics, so most of this site, failed at least once in five minutes. Predictions do not depend on it.",
    do: [
      `Read the fault with its traceback: ${errorsOf("admin")}.`,
      "Open [Data](/data) and [Models](/models): where they load again, it has passed and can wait for the morning.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "RetrainErrorsAlarm",
    title: "The retrain function crashed",
    means:
      "The function that looks at uploads and starts trainings crashed, timed out or could not start. Nothing is lost: messages are delivered again, five times, and then kept for two weeks.",
    do: [
      `Read what failed, the line “event failed” or “upload failed”: ${errorsOf("retrain")}.`,
      `Where there is none, it was ended from outside: ${printedBy("retrain")}.`,
      "If DeadLettersAlarm comes as well, follow that one once the cause is gone.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "RunsFailedAlarm",
    title: "A training failed",
    means:
      "A training ended as FAILED, which is a fault; one that was REJECTED is a result and raises nothing. The live model is untouched.",
    do: [
      "Open the run on [Models](/models): its reason is a sentence, and the end of its log is there.",
      "“No training image yet” is put right by `make deploy`; “killed” by more TrainingMemory in samconfig.toml.",
      "The whole log: `aws logs tail /aws/batch/clickbait --since 6h`.",
      "Start it again on [Models](/models). It can wait for the morning.",
    ],
  },
  {
    resource: "DeadLettersAlarm",
    title: "Uploads could not be looked at",
    means:
      "Messages about images in train/ failed five times and were put aside for two weeks. The images themselves are in the bucket; no training knows of them.",
    do: [
      `Find the cause, the line “upload failed” or “message not understood”: ${errorsOf("retrain")}.`,
      `When it is gone, move them back: \`make replay ARGS="--queue URL --dead-letters URL"\`, with UploadsQueue and UploadsDeadLetters from ${OUTPUTS}.`,
      "See them appear as waiting on [Data](/data).",
    ],
  },
  {
    resource: "BatchFaultsAlarm",
    title: "The batch function answers 5xx",
    means:
      "Ten images at once, forms to upload with, or batches and their results failed at least once in five minutes. Single predictions do not depend on it.",
    do: [
      `Read the fault with its traceback: ${errorsOf("batch")}.`,
      "Open [Batch](/batch) and send a file: where that works, it has passed.",
      DEPLOY_FORMER,
    ],
  },
  {
    resource: "ModelLoadFailureOfManyAlarm",
    title: "Batches could not load a model",
    means:
      "The batch function or a worker on the inbox could not load the version that is to be live. Those that run go on with the one before; a batch may have answers of two versions.",
    do: [
      `Read the reason, the line “model not loaded”: ${errorsOf("worker")}, and the same of batch.`,
      "Roll back to the last version that served well on [Models](/models).",
      "The results on [Batch](/batch) name the version of each answer: hand in again what the wrong one answered.",
    ],
  },
  {
    resource: "HistoryWriteFailureAlarm",
    title: "Predictions are not logged",
    means:
      "In ten minutes of fifteen, predictions were answered and could not be written to the table. Nobody’s answer is lost; recent predictions and drift are incomplete.",
    do: [
      `Read why, the line “prediction not logged”: ${errorsOf("predict")}.`,
      "Throttled: a burst, which passes. Access denied: the role or the table was changed by hand, and `make deploy` puts it right.",
      "See that new ones appear under recent predictions on the [Overview](/).",
    ],
  },
  {
    resource: "InboxDeadLettersAlarm",
    title: "Images of a batch were given up",
    means:
      "Messages about images in inbox/ failed five times and were put aside. Their batch stays unfinished; the images themselves are deleted a week after they came.",
    do: [
      `Find the cause, the line “batch failed” or “image given up”: ${errorsOf("worker")}.`,
      `When it is gone, move them back: \`make replay ARGS="--queue URL --dead-letters URL"\`, with InboxQueue and InboxDeadLetters from ${OUTPUTS}.`,
      "Watch the batch finish on [Batch](/batch).",
    ],
  },
  {
    resource: "DriftAlarm",
    title: "The images have changed",
    means:
      "Once a day the last day’s images are compared with those that the live model learned from; one feature has an index of 0.25 or more, which is another population. Answers may be right less often than was measured.",
    do: [
      "Nothing at three in the morning: nothing is broken.",
      "See which feature it is under Drift on [this page](/monitoring), and look at some of the images: has a source been added, or a size changed?",
      "Collect some two hundred of them with the right labels, upload them on [Models](/models) and train: the gate tells whether the new version is better.",
    ],
  },
];

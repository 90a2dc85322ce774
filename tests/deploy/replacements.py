"""What the emulator lacks, and what takes its place in the template that is deployed there."""

import copy
from collections.abc import Callable
from typing import Any

Template = dict[str, Any]
RIE = "/aws-lambda-rie"  # where the emulator mounts Lambda's runtime interface emulator
HANDLER = "classifier.app.lambda_handler"  # of the image, if nothing else is said
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


def _leave_out_code_deploy(template: Template) -> None:
    """It has no CodeDeploy, so a new version gets all traffic at once, and its check cannot report the result."""
    del template["Resources"]["ClassifierFunction"]["Properties"]["DeploymentPreference"]
    (policy,) = template["Resources"]["ReleaseCheckRole"]["Properties"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if statement["Sid"] == "ReportResult":
            statement["Resource"] = "*"


def _leave_out_the_web_acl(template: Template) -> None:
    """It does not know associations of web ACLs, which this template makes only if it is given one."""
    del template["Resources"]["ApiWebAcl"]


def _watch_one_metric(template: Template) -> None:
    """Its alarms have no metric math. The first metric of the expression stays."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            first = next(metric["MetricStat"] for metric in properties.pop("Metrics") if "MetricStat" in metric)
            properties |= {**first["Metric"], "Period": first["Period"], "Statistic": "Sum"}


def _name_the_methods(template: Template) -> None:
    """Its import of an API ignores the method ANY."""
    events = template["Resources"]["ClassifierFunction"]["Properties"]["Events"]
    for name, event in list(events.items()):
        if event["Properties"].get("Method") == "ANY":
            del events[name]
            for method in _METHODS:
                copied = copy.deepcopy(event)
                copied["Properties"]["Method"] = method
                if not _has_method(events, copied):
                    events[name + method.title()] = copied


def _has_method(events: Template, wanted: Template) -> bool:
    """Return whether the path has a method of its own."""
    place = [wanted["Properties"][name] for name in ("Path", "Method")]
    return any([one["Properties"].get(name) for name in ("Path", "Method")] == place for one in events.values())


def _bring_the_runtime_emulator(template: Template) -> None:
    """It runs images under the runtime interface emulator of AWS's base images, which this image does not have."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            config = resource["Properties"].setdefault("ImageConfig", {"Command": [HANDLER]})
            config["EntryPoint"] = [RIE, "python", "-m", "awslambdaric"]


def _unescape_media_types(template: Template) -> None:
    """It takes `*~1*` literally, where API Gateway reads `*/*`."""
    template["Resources"]["Api"]["Properties"]["BinaryMediaTypes"] = ["*/*"]


REPLACEMENTS: tuple[Callable[[Template], None], ...] = (
    _leave_out_code_deploy,
    _leave_out_the_web_acl,
    _watch_one_metric,
    _name_the_methods,
    _bring_the_runtime_emulator,
    _unescape_media_types,
)


def replace(template: Template) -> Template:
    """Return a copy of the template with all replacements."""
    changed = copy.deepcopy(template)
    for replacement in REPLACEMENTS:
        replacement(changed)
    return changed

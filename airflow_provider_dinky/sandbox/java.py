# SPDX-License-Identifier: Apache-2.0
"""Java exceptions as data, printed the way a Java server prints them.

Dinky puts whole stack traces into its answers; the last ``Caused by:`` line names the real reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_DINKY_FRAMES = (
    "org.dinky.aop.UdfClassLoaderAspect.round(UdfClassLoaderAspect.java:58)",
    "java.base/java.lang.reflect.Method.invoke(Method.java:569)",
    "org.springframework.aop.framework.ReflectiveMethodInvocation.proceed(ReflectiveMethodInvocation.java:186)",
    "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1072)",
    "org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:153)",
    "java.base/java.lang.Thread.run(Thread.java:840)",
)
_FLINK_FRAMES = (
    "org.apache.flink.runtime.scheduler.DefaultScheduler.handleTaskFailure(DefaultScheduler.java:258)",
    "org.apache.flink.runtime.jobmaster.JobMaster.updateTaskExecutionState(JobMaster.java:514)",
    "java.base/java.lang.reflect.Method.invoke(Method.java:569)",
    "org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.handleRpcInvocation(PekkoRpcActor.java:309)",
    "org.apache.pekko.dispatch.Mailbox.run(Mailbox.scala:231)",
    "java.base/java.util.concurrent.ForkJoinWorkerThread.run(ForkJoinWorkerThread.java:165)",
)


@dataclass(frozen=True)
class Throwable:
    """A Java exception: its class (``kind``), its message (empty for none), and what caused it."""

    kind: str
    message: str
    cause: Throwable | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind

    def wrapped_in(self, kind: str, message: str | None = None) -> Throwable:
        """Return an exception caused by this one; without ``message`` it repeats this one's text."""
        return Throwable(kind, str(self) if message is None else message, self)

    def chain(self) -> Iterator[Throwable]:
        """Yield this exception, its cause, that one's cause ... down to the real reason."""
        link: Throwable | None = self
        while link is not None:
            yield link
            link = link.cause

    def trace(self, thrower: Literal["dinky", "flink"] = "dinky") -> str:
        """Return the stack trace as Java prints it, with frames of the server that threw it."""
        frames = _FLINK_FRAMES if thrower == "flink" else _DINKY_FRAMES
        lines: list[str] = []
        for depth, link in enumerate(self.chain()):
            lines.append(f"Caused by: {link}" if depth else str(link))
            shown = frames[depth % len(frames) :][:2] if depth else frames
            lines += [f"\tat {frame}" for frame in shown]
            if depth:
                lines.append(f"\t... {len(frames) + depth} more")
        return "\n".join(lines) + "\n"


class Refusal(Exception):
    """Dinky says no: ``code`` 1, and ``msg`` says why."""


class JavaFailure(Exception):
    """An exception came through to Dinky's top: ``code`` 5, its stack trace in ``data``."""

    def __init__(self, throwable: Throwable) -> None:
        super().__init__(str(throwable))
        self.throwable = throwable

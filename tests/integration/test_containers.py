"""OCI containers by a real Podman: what they see, what they give, how they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.container_desk import IMAGE, LONG, ContainerDesk, podman, shell, sidecar

from tiphys.engine.events import TaskProgressed, TaskReady
from tiphys.engine.model import Phase
from tiphys.testing.runner_contract import wait_until


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with podman() as host:
        yield host


@pytest.fixture
def desk(host: str, tmp_path: Path) -> Iterator[ContainerDesk]:
    desk = ContainerDesk(tmp_path, host)
    yield desk
    desk.close()


class TestContainers:
    def test_output_is_the_result_without_its_last_newline(self, desk: ContainerDesk) -> None:
        assert desk.result("echo a; echo; echo") == "a\n\n"

    def test_errors_are_logged_and_are_no_result(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "x"
        finished = desk.run(shell("echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3"), log=str(log))
        assert finished.outputs is not None
        assert finished.outputs.result == "1\n3"
        assert log.read_text() == "1\n2\n3\n"

    def test_a_long_log_is_complete_and_the_end_of_it_is_the_result(self, desk: ContainerDesk, tmp_path: Path) -> None:
        finished = desk.run(shell("seq 1 100000"), log=str(tmp_path / "log"))
        text = "".join(f"{number}\n" for number in range(1, 100001))
        assert (tmp_path / "log").read_text() == text
        assert finished.outputs is not None
        assert finished.outputs.result == text[:-1][-256 * 1024 :]

    def test_a_log_can_be_looked_at_while_it_grows(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        task = desk.launch(shell("echo first; sleep 2; echo second; sleep 1000"), log=str(log))
        desk.wait_for_log(log, "first\n")
        assert "second" not in log.read_text()
        desk.wait_for_log(log, "first\nsecond\n")
        desk.runner.cancel(task.id, 1)

    @pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$$$", 137), ("kill -15 $$$$", 143)])
    def test_a_failure_has_an_exit_code(self, desk: ContainerDesk, script: str, code: int) -> None:
        finished = desk.sh(script)
        assert (finished.phase, finished.message) == (Phase.FAILED, f"main: Error (exit code {code})")
        assert finished.outputs is not None
        assert finished.outputs.exit_code == code

    @pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
    def test_a_program_that_is_not_in_the_image(self, desk: ContainerDesk, program: str) -> None:
        finished = desk.run({"container": {"image": IMAGE, "command": [program]}})
        assert finished.phase is Phase.FAILED
        assert finished.message.startswith("main: Error (exit code 64): ")
        assert "No such file" in finished.message

    def test_an_image_that_is_not_there(self, desk: ContainerDesk) -> None:
        body = {"container": {"image": "localhost/nobody/has-this:1", "command": ["true"], "imagePullPolicy": "Never"}}
        finished = desk.run(body)
        assert finished.phase is Phase.ERROR
        assert "'localhost/nobody/has-this:1' is not on this machine" in finished.message

    def test_an_image_that_cannot_be_pulled(self, desk: ContainerDesk) -> None:
        finished = desk.run({"container": {"image": "localhost:1/nobody/has-this:1", "command": ["true"]}})
        assert finished.phase is Phase.ERROR
        assert "'localhost:1/nobody/has-this:1' cannot be pulled" in finished.message

    def test_the_images_own_command(self, desk: ContainerDesk) -> None:
        finished = desk.run({"container": {"image": IMAGE}})
        assert finished.outputs is not None
        assert finished.outputs.result == "from the image"
        finished = desk.run({"container": {"image": IMAGE, "args": ["echo", "$(WHO)"], "env": [_variable("WHO", "I")]}})
        assert finished.outputs is not None
        assert finished.outputs.result == "I"

    def test_scripts(self, desk: ContainerDesk) -> None:
        finished = desk.run({"script": {"image": IMAGE, "command": ["sh", "-e"], "source": "echo $((6 * 7)) $0\n"}})
        assert finished.outputs is not None
        assert finished.outputs.result == "42 /argo/staging/script"

    def test_the_environment(self, desk: ContainerDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
        desk.cluster.config_maps["c"] = {"colour": b"blue"}
        desk.cluster.secrets["s"] = {"key": b"hidden\nline"}
        found = desk.result(
            'env; echo "SECRET<$SECRET>"',
            container={
                "env": [
                    _variable("FIRST", "1"),
                    _variable("SECOND", "$(FIRST)$(P_colour)"),
                    {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
                ],
                "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
            },
        )
        variables = dict(line.split("=", 1) for line in found.splitlines() if "=" in line)
        assert variables["SECOND"] == "1blue"
        assert variables["FROM_IMAGE"] == "yes"
        assert variables["ARGO_NODE_ID"] == "n0"
        assert "SECRET<hidden\nline>" in found
        assert "SECRET_OF_THE_HOST" not in variables

    def test_a_missing_secret_is_an_error(self, desk: ContainerDesk) -> None:
        variable = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}
        finished = desk.sh("true", container={"env": [variable]})
        assert finished.phase is Phase.ERROR
        assert "there is no Secret 'none'" in finished.message

    def test_large_templates_and_arguments(self, desk: ContainerDesk) -> None:
        text = "x" * 200_000
        finished = desk.run(
            shell('echo "$ARGO_TEMPLATE"; wc -c < "${1#@}"; wc -c < /argo/config/ARGO_TEMPLATE', args=["0", text])
        )
        assert finished.outputs is not None
        assert finished.outputs.result is not None
        first, second, third = finished.outputs.result.split()
        assert (first, second) == ("offloaded", "200000")
        assert int(third) > 200_000

    def test_user_folder_and_limits(self, desk: ContainerDesk) -> None:
        found = desk.result(
            "id -u; id -g; pwd; cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max",
            container={
                "workingDir": "/work/deep",
                "securityContext": {"runAsUser": 1234, "runAsGroup": 99},
                "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
            },
        )
        assert found.split() == ["1234", "99", "/work/deep", str(64 << 20)]

    def test_many_at_once(self, desk: ContainerDesk) -> None:
        tasks = {desk.launch(shell(f"echo {number}")).id: str(number) for number in range(6)}
        ends = [desk.next_report() for _ in tasks]
        assert {end.task_id: end.outputs and end.outputs.result for end in ends} == tasks

    def test_they_are_removed_when_they_are_collected(self, desk: ContainerDesk) -> None:
        assert desk.result("echo 1") == "1"
        wait_until(lambda: desk.containers() == [])

    def test_progress(self, desk: ContainerDesk) -> None:
        task = desk.launch(shell("echo 1/2 > $ARGO_PROGRESS_FILE; sleep 2.5"))
        assert desk.news.get(timeout=LONG) == TaskProgressed(task.id, "1/2")
        assert desk.next_report().phase is Phase.SUCCEEDED


def _variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


class TestCancelling:
    def test_a_container_is_asked_first(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log, noted = tmp_path / "log", tmp_path / "noted"
        noted.mkdir()
        script = "trap 'touch /noted/cleaned; exit 0' TERM; echo started; while true; do sleep 0.05; done"
        task = desk.launch(
            {
                **shell(script, volumeMounts=[{"name": "v", "mountPath": "/noted"}]),
                "volumes": [{"name": "v", "hostPath": {"path": str(noted)}}],
            },
            log=str(log),
        )
        desk.wait_for_log(log, "started")
        desk.runner.cancel(task.id, 30)
        wait_until((noted / "cleaned").exists)
        wait_until(lambda: desk.containers() == [])
        assert desk.reports.empty()

    def test_who_does_not_listen_is_killed(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        task = desk.launch(shell("trap '' TERM; echo started; while true; do sleep 1000; done"), log=str(log))
        desk.wait_for_log(log, "started")
        desk.runner.cancel(task.id, 0.2)
        wait_until(lambda: desk.containers() == [])
        assert desk.reports.empty()

    def test_a_program_that_says_nothing_of_signals_ends_at_once(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        task = desk.launch(shell("echo started; sleep 1000"), log=str(log))
        desk.wait_for_log(log, "started")
        desk.runner.cancel(task.id, 2 * LONG)
        wait_until(lambda: desk.containers() == [])

    def test_closing_ends_what_runs(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        desk.launch(shell("echo started; sleep 1000"), log=str(log))
        desk.wait_for_log(log, "started")
        desk.runner.close()
        assert desk.containers() == []
        assert desk.reports.empty()

    def test_one_id_is_carried_out_once(self, desk: ContainerDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        task = desk.launch(shell("sleep 0.3; echo x"), log=str(log))
        desk.runner.launch(task, desk.report)
        first = desk.next_report()
        desk.runner.launch(task, desk.report)
        assert desk.next_report() == first
        assert log.read_text() == "x\n"


class TestPods:
    def test_sidecars_share_the_network_and_end_with_main(self, desk: ContainerDesk) -> None:
        serve = "echo served > /tmp/index.html; httpd -f -p 127.0.0.1:8080 -h /tmp"
        ask = "until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done 2>/dev/null"
        assert desk.result(ask, sidecars=[sidecar("side", serve)]) == "served"

    def test_a_sidecar_that_fails_by_itself_fails_the_pod(self, desk: ContainerDesk) -> None:
        finished = desk.sh("sleep 1", sidecars=[sidecar("side", "exit 7")])
        assert (finished.phase, finished.message) == (Phase.FAILED, "side: Error (exit code 7)")

    def test_init_containers_come_first_and_volumes_are_shared(self, desk: ContainerDesk) -> None:
        mounts = [{"name": "v", "mountPath": "/mnt/vol"}]
        found = desk.result(
            "cat /mnt/vol/f; ls /tmp",
            container={"volumeMounts": mounts, "securityContext": {"runAsUser": 1000}},
            initContainers=[
                sidecar("a", "echo 1 > /mnt/vol/f; echo 2 > /tmp/f", volumeMounts=mounts),
                sidecar("b", "echo 2 >> /mnt/vol/f", volumeMounts=mounts),
            ],
            volumes=[{"name": "v", "emptyDir": {}}],
        )
        assert found == "1\n2"

    def test_an_init_container_that_fails(self, desk: ContainerDesk) -> None:
        finished = desk.sh("echo no", initContainers=[sidecar("a", "exit 5"), sidecar("b", "true")])
        assert (finished.phase, finished.message) == (Phase.FAILED, "a: Error (exit code 5)")
        assert finished.details.logs.keys() == {"a"}

    def test_container_sets(self, desk: ContainerDesk) -> None:
        body = {
            "volumes": [{"name": "w", "emptyDir": {}}],
            "containerSet": {
                "volumeMounts": [{"name": "w", "mountPath": "/work"}],
                "containers": [
                    sidecar("a", "echo a > /work/a"),
                    sidecar("b", "exit 3"),
                    sidecar("main", "cat /work/a; echo o > /out", dependencies=["a"]),
                    sidecar("c", "true", dependencies=["b"]),
                ],
            },
            "outputs": {"parameters": [{"name": "p", "valueFrom": {"path": "/out"}}]},
        }
        finished = desk.run(body)
        assert (finished.phase, finished.message) == (Phase.FAILED, "b: Error (exit code 3)")
        assert finished.outputs is not None
        assert (finished.outputs.result, finished.outputs.parameters) == ("a", {"p": "o"})
        assert {name: (end[0], end[2]) for name, end in finished.containers.items()} == {
            "a": (Phase.SUCCEEDED, 0),
            "b": (Phase.FAILED, 3),
            "main": (Phase.SUCCEEDED, 0),
            "c": (Phase.FAILED, 3),
        }

    def test_a_container_of_a_set_is_tried_again_in_its_place(self, desk: ContainerDesk) -> None:
        script = "echo try; echo x >> /tmp/tries; test $(wc -l < /tmp/tries) -eq 3 && echo third"
        body = {
            "containerSet": {"retryStrategy": {"retries": "3"}, "containers": [sidecar("main", script)]},
        }
        finished = desk.run(body)
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert finished.outputs.result == "try\nthird"

    def test_daemons(self, host: str, tmp_path: Path) -> None:
        desk = ContainerDesk(tmp_path, host, network="host")
        probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}}
        task = desk.launch({**shell("sleep 0.5; touch /tmp/ready; sleep 1000", readinessProbe=probe), "daemon": True})
        assert desk.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")
        desk.runner.cancel(task.id, 5)
        wait_until(lambda: desk.containers() == [])
        finished = desk.run({**shell("true"), "daemon": True})
        assert finished.phase is Phase.FAILED
        assert "daemon ended by itself" in finished.message
        desk.close()

    def test_a_daemon_that_is_asked_over_the_network(self, host: str, tmp_path: Path) -> None:
        desk = ContainerDesk(tmp_path, host, network="host")
        probe = {"httpGet": {"port": 18943, "path": "/index.html"}}
        script = "echo hi > /tmp/index.html; sleep 0.5; httpd -f -p 127.0.0.1:18943 -h /tmp"
        task = desk.launch({**shell(script, readinessProbe=probe), "daemon": True})
        assert desk.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")
        desk.close()


class TestFiles:
    def test_parameters(self, desk: ContainerDesk) -> None:
        finished = desk.sh(
            "mkdir /out; echo one > /out/p; ln -s /out/p /link; echo v > /vol/v; ln -s v /vol/to-v",
            container={"volumeMounts": [{"name": "v", "mountPath": "/vol"}]},
            volumes=[{"name": "v", "emptyDir": {}}],
            outputs={
                "parameters": [
                    {"name": "p", "valueFrom": {"path": "/out/p"}},
                    {"name": "link", "valueFrom": {"path": "/link"}},
                    {"name": "v", "valueFrom": {"path": "/vol/to-v"}},
                    {"name": "none", "valueFrom": {"path": "/none", "default": "d"}},
                ]
            },
        )
        assert finished.outputs is not None
        assert finished.outputs.parameters == {"p": "one", "link": "one", "v": "v", "none": "d"}

    def test_a_missing_output_is_an_error(self, desk: ContainerDesk) -> None:
        outputs = {
            "parameters": [{"name": "p", "valueFrom": {"path": "/none"}}],
            "artifacts": [{"name": "a", "path": "/none"}, {"name": "o", "path": "/none", "optional": True}],
        }
        finished = desk.sh("true", outputs=outputs)
        assert finished.phase is Phase.ERROR
        assert "output parameter 'p'" in finished.message
        assert "output artifact 'a'" in finished.message
        assert "'o'" not in finished.message

    def test_artifacts_pass_between_two_nodes(self, desk: ContainerDesk) -> None:
        first = desk.sh(
            "mkdir -p /out/deep; echo 1 > /out/a; echo 2 > /out/deep/b; echo file > /f; chmod 755 /f",
            outputs={"artifacts": [{"name": "folder", "path": "/out"}, {"name": "file", "path": "/f"}]},
        )
        assert first.phase is Phase.SUCCEEDED, first.message
        assert first.outputs is not None
        made = first.outputs.artifacts
        assert desk.tree(made["folder"]) == {"a": b"1\n", "deep/b": b"2\n"}
        found = desk.result(
            "cd /tmp/in; find . -type f | sort | xargs cat; cat /etc/passwd; echo more >> /etc/passwd",
            inputs={"artifacts": [{"name": "i", "path": "/tmp/in"}, {"name": "f", "path": "/etc/passwd"}]},
            artifacts={"i": made["folder"], "f": made["file"]},
        )
        assert found == "1\n2\nfile"
        assert desk.tree(made["file"]) == {"f": b"file\n"}

    def test_an_input_within_an_output(self, desk: ContainerDesk) -> None:
        finished = desk.sh(
            "echo 2 > /work/new",
            inputs={"artifacts": [{"name": "r", "path": "/work/in/r", "raw": {"data": "1"}, "mode": 0o600}]},
            outputs={"artifacts": [{"name": "w", "path": "/work"}]},
        )
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert desk.tree(finished.outputs.artifacts["w"]) == {"in/r": b"1", "new": b"2\n"}

    def test_an_input_in_a_volume_is_seen_by_its_sidecars(self, desk: ContainerDesk) -> None:
        finished = desk.sh(
            "cat /vol/in; sleep 0.5",
            container={"volumeMounts": [{"name": "v", "mountPath": "/vol"}]},
            inputs={"artifacts": [{"name": "r", "path": "/vol/in", "raw": {"data": "1"}}]},
            sidecars=[{**sidecar("s", "cat /vol/in"), "mirrorVolumeMounts": True}],
            volumes=[{"name": "v", "emptyDir": {}}],
        )
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert Path(finished.details.logs["s"]).read_text() == "1"

    def test_optional_inputs_may_be_missing(self, desk: ContainerDesk) -> None:
        inputs = {"artifacts": [{"name": "o", "path": "/in", "optional": True}]}
        assert desk.result("test -e /in || echo none", inputs=inputs) == "none"
        finished = desk.sh("true", inputs={"artifacts": [{"name": "o", "path": "/in"}]})
        assert finished.phase is Phase.ERROR
        assert "'o'" in finished.message

    def test_what_a_container_links_to_is_not_this_machines(self, desk: ContainerDesk, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("of this machine")
        finished = desk.sh(
            f"ln -s {tmp_path}/secret /out; mkdir /dir; ln -s {tmp_path}/secret /dir/link; ln -s {tmp_path} /vol/up",
            container={"volumeMounts": [{"name": "v", "mountPath": "/vol"}]},
            volumes=[{"name": "v", "emptyDir": {}}],
            outputs={
                "parameters": [
                    {"name": "p", "valueFrom": {"path": "/out", "default": "none"}},
                    {"name": "q", "valueFrom": {"path": "/dir/link", "default": "none"}},
                    {"name": "r", "valueFrom": {"path": "/vol/up/secret", "default": "none"}},
                ],
                "artifacts": [{"name": "a", "path": "/dir"}],
            },
        )
        assert finished.outputs is not None
        assert finished.outputs.parameters == {"p": "none", "q": "none", "r": "none"}
        assert b"of this machine" not in b"".join(desk.tree(finished.outputs.artifacts["a"]).values())

    def test_config_maps_secrets_and_claims(self, desk: ContainerDesk, tmp_path: Path) -> None:
        desk.cluster.config_maps["c"] = {"a.txt": b"A", "b.txt": b"B"}
        desk.cluster.secrets["s"] = {"key": b"S"}
        desk.cluster.claims["data"] = tmp_path / "claim"
        desk.cluster.claims["data"].mkdir()
        items = [{"key": "key", "path": "deep/k", "mode": 0o400}]
        found = desk.result(
            "cat /etc/config/* /s/deep/k; stat -c %a /s/deep/k; echo 1 > /data/f; "
            "echo x > /etc/config/a.txt || echo refused",
            container={
                "volumeMounts": [
                    {"name": "c", "mountPath": "/etc/config"},
                    {"name": "s", "mountPath": "/s"},
                    {"name": "d", "mountPath": "/data", "subPath": "below"},
                ]
            },
            volumes=[
                {"name": "c", "configMap": {"name": "c"}},
                {"name": "s", "secret": {"secretName": "s", "items": items}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        )
        assert found == "ABS400\nrefused"
        assert (tmp_path / "claim" / "below" / "f").read_text() == "1\n"

    def test_logs_as_artifacts(self, desk: ContainerDesk) -> None:
        finished = desk.sh("echo 1", archiveLocation={"archiveLogs": True})
        assert finished.outputs is not None
        assert desk.tree(finished.outputs.artifacts["main-logs"]) == {"main.log": b"1\n"}

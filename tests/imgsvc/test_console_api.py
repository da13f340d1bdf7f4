"""What pages ask before they show controls: what a key may do, and how a variant is made."""

from service_kit.access import Scope
from tests.imgsvc.sites import Site, bearer


async def test_a_key_learns_what_it_may_do(guarded: Site) -> None:
    status, me = await guarded.json("GET", "/v1/me", guarded.new_key("list", "metadata", space="acme"))
    assert (status, me["name"], me["scopes"], me["space"]) == (200, "test", ["list", "metadata"], "acme")
    status, me = await guarded.json("GET", "/me", guarded.key)
    assert (status, me["name"], me["scopes"], me["space"]) == (200, "first", ["admin"], None)
    assert me["key_id"] == guarded.key.split("_")[1]


async def test_without_a_key_one_learns_that_it_is_required(guarded: Site) -> None:
    status, me = await guarded.json("GET", "/v1/me")
    assert (status, me["keys_required"], me["name"], me["scopes"]) == (200, True, None, [])


async def test_a_key_that_does_not_work_is_refused(guarded: Site) -> None:
    for key in (f"ik_{12 * '0'}_{43 * 'x'}", "nonsense"):
        assert (await guarded.json("GET", "/v1/me", key))[0] == 403


async def test_where_nobody_needs_a_key_one_adds_rights(local: Site) -> None:
    status, me = await local.json("GET", "/v1/me")
    assert (status, me["keys_required"], me["name"]) == (200, False, None)
    open_to_all = [scope for scope in Scope if scope not in {Scope.SIGN, Scope.ADMIN}]
    assert me["scopes"] == open_to_all
    _, me = await local.json("GET", "/v1/me", local.new_key("admin"))
    assert (me["name"], me["scopes"]) == ("test", [*open_to_all, "admin"])
    assert (await local.json("GET", "/v1/me", "ik_wrong"))[0] == 403


async def test_a_plan_says_what_explain_prints(guarded: Site) -> None:
    image_id = await guarded.upload(bearer(guarded.key))
    path = f"/v1/images/{image_id}.webp/plan?rotate=90&grayscale&thumb=30"
    status, plan = await guarded.json("GET", path, guarded.key)
    assert status == 200, plan
    assert plan["image"] == "JPEG, 60 x 40, srgb"
    assert plan["as_written"] == "rotate=90 > grayscale > thumb=30"
    assert plan["as_planned"] == "resize=30x20,fill,enlarge > rotate=90 > grayscale"
    assert plan["output"] == "WEBP, 20 x 30, quality 79"
    assert (plan["format"], plan["width"], plan["height"], plan["quality"]) == ("webp", 20, 30, 79)
    assert 0 < float(str(plan["seconds"])) < 1
    assert "MiB" in str(plan["cost"])
    assert plan["overlays"] is None


async def test_a_plan_counts_the_decoding_of_overlays(guarded: Site) -> None:
    image_id, other = [await guarded.upload(bearer(guarded.key)) for _ in range(2)]
    _, without = await guarded.json("GET", f"/v1/images/{image_id}.png/plan?blur=1", guarded.key)
    _, plan = await guarded.json("GET", f"/v1/images/{image_id}.png/plan?blur=1&watermark={other}", guarded.key)
    assert plan["overlays"] == "1"
    assert float(str(plan["seconds"])) > float(str(without["seconds"]))


async def test_an_original_needs_no_plan(guarded: Site) -> None:
    image_id = await guarded.upload(bearer(guarded.key))
    status, plan = await guarded.json("GET", f"/v1/images/{image_id}.jpg/plan", guarded.key)
    assert (status, plan["as_planned"], plan["quality"], plan["cost"]) == (200, "nothing to do", None, None)


async def test_plans_are_for_those_who_see_the_facts_of_an_image(guarded: Site) -> None:
    private = await guarded.upload(bearer(guarded.key), "?visibility=private")
    path = f"/v1/images/{private}.webp/plan?thumb=30"
    assert (await guarded.json("GET", path))[0] == 401
    assert (await guarded.json("GET", path, guarded.new_key("list")))[0] == 403
    assert (await guarded.json("GET", path, guarded.new_key("metadata")))[0] == 403
    assert (await guarded.json("GET", path, guarded.new_key("metadata", "read", space="other")))[0] == 404
    assert (await guarded.json("GET", path, guarded.new_key("metadata", "read")))[0] == 200


async def test_a_plan_is_refused_like_a_request_for_the_picture(guarded: Site) -> None:
    image_id = await guarded.upload(bearer(guarded.key))
    status, problem = await guarded.json("GET", f"/v1/images/{image_id}.webp/plan?thum=30", guarded.key)
    assert (status, "did you mean 'thumb'" in str(problem["detail"])) == (400, True), problem
    assert (await guarded.json("GET", f"/v1/images/{image_id}.bmp/plan", guarded.key))[0] == 406
    assert (await guarded.json("GET", f"/v1/images/{'0' * 32}.webp/plan", guarded.key))[0] == 404
    assert (await guarded.json("DELETE", f"/v1/images/{image_id}", guarded.key))[0] == 204
    assert (await guarded.json("GET", f"/v1/images/{image_id}.webp/plan", guarded.key))[0] == 410

"""A job among real neighbours, from the offer to the recording."""


async def test_an_offered_job_becomes_a_recording_in_sync_with_no_frame_missing(deployment) -> None:
    await deployment.start_transcoder()
    await deployment.publish(rate=15)
    await deployment.offer()

    await deployment.parts("v360", 18)

    job = await deployment.job(lambda job: job.frames_encoded > 80)
    assert job.frames_repeated == 0 and job.frames_dropped == 0
    assert [rung.track for rung in job.rungs] == ["v360", "v240", "a128"]
    print(job)
    playlist = (await deployment.get("v360/index.m3u8")).decode()
    print(playlist)
    print((await deployment.get("main.m3u8")).decode())
    print(await deployment.timeline())

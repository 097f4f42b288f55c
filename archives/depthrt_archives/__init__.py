"""`depthrt batch`: archives of videos and pictures, exactly once, on one machine or a cluster.

How it works
------------
A *driver* lists the sources as a stream and hands tasks to *workers*, each a process with a model
of its own. An *engine* starts workers and says when one has died: ``local`` is processes of this
machine, ``ray`` is actors of a Ray cluster. The driver keeps nothing that cannot be read from the
output folder, so a driver that is killed is replaced by running the same command again.

A short source is one task, which runs what ``depthrt run`` runs. A long video is cut at key frames
of its codec into *segments*. What looks back in time is handed over: at the end of a segment the
worker saves what the post-processing of the stream remembers (stabiliser, display range, scene
cuts, reuse), the number of the next frame, and the results that the output's encoder cannot yet
close a group of pictures with. With keyframes it also saves what the next gap goes on from; a gap
is never cut: a segment ends with a whole one, and the next segment begins behind it. Whoever takes
the next segment goes on from there, so that the output does not depend on who did what, or on where
the cuts were:

    segment 0 --memory--> segment 1 --memory--> segment 2 --> join
       part 0                part 1                part 2

Segments of one video hence follow one another, and several videos run side by side. A worker that
would be idle runs the network for a later segment *ahead*: that depends on nothing before it. It
writes depth and prepared pixels aside, and the segment then only needs post-processing.

After the end of a segment three more frames are decoded. The next segment must begin with the same
pictures; if it does not, the key frame was none, and the whole video is done as one segment.

A segment is committed by renaming its part, then its memory, which holds the part's checksum. An
output is committed by writing its record, with its checksum, and renaming it to its place. So a
task that is done twice gives the same files, and one that is killed gives none.
"""

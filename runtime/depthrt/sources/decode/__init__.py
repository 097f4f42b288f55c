"""What a video holds, and its pictures as they are to be seen; FFmpeg decodes, through PyAV."""

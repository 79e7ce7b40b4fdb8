from django.contrib.auth.models import User
from django.db import models


class Entry(models.Model):
    author = models.ForeignKey(User, models.CASCADE)
    title = models.CharField(max_length=50)

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel("Entry", [
            ("id", models.AutoField(primary_key=True, serialize=False)),
            ("title", models.CharField(max_length=50)),
            ("author", models.ForeignKey(to=settings.AUTH_USER_MODEL,
                                         on_delete=models.CASCADE)),
        ]),
    ]

from django.db import migrations, models


def add_standard_product(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    product.objects.using(schema_editor.connection.alias).create(
        name="standard", price=1)


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Product", [
            ("id", models.AutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=50, unique=True)),
            ("price", models.IntegerField()),
        ]),
        migrations.CreateModel("Order", [
            ("id", models.AutoField(primary_key=True, serialize=False)),
            ("product", models.ForeignKey(to="shop.product",
                                          on_delete=models.CASCADE)),
            ("count", models.IntegerField(default=1)),
        ]),
        migrations.RunPython(add_standard_product,
                             migrations.RunPython.noop),
    ]
